// Airflow shows this page in a sandboxed frame, where a link may neither open a tab nor leave the frame. So the page
// around it, of the same origin, follows the links; and whether it is light or dark there, it is here.
if (parent !== window) {
  const outer = parent.document;
  const dress = () => { document.documentElement.style.colorScheme = outer.documentElement.style.colorScheme; };
  dress();
  new MutationObserver(dress).observe(outer.documentElement, { attributes: true });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    outer.importNode(link).click();
  });
}
