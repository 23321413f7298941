// Airflow shows this page in a sandboxed frame, where a link can neither open a tab nor leave the frame. So the outer
// page, of the same origin, follows the links. The frame also takes over the light or dark scheme of the outer page.
if (parent !== window) {
  const outer = parent.document;
  const copyScheme = () => { document.documentElement.style.colorScheme = outer.documentElement.style.colorScheme; };
  copyScheme();
  new MutationObserver(copyScheme).observe(outer.documentElement, { attributes: true });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    outer.importNode(link).click();
  });
}
