"""The Airflow side: a DAG bundle whose versions are releases."""

from __future__ import annotations

import importlib.util
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion

from dag_bundle.errors import NoRelease, ShadowedPackage
from dag_bundle.fetch import current_release, fetch
from dag_bundle.layout import DAGS, PLUGINS
from dag_bundle.object_store import ObjectStore, open_store


class RatchetDagBundle(BaseDagBundle):
    """The current release in a bucket or folder or, with a `version`, that release.

    Its path is the release's top folder. Airflow appends that folder to `sys.path` in each process that reads a DAG
    file of the bundle: the DAG processor's children, task runners, callbacks. This class changes no `sys.path`. It must
    not: the DAG processor itself prepares callbacks of old releases beside the new one, and its children would inherit
    a mixture of both.

    :param releases: URI to which `python -m dag_bundle release` uploads, for example `s3://ratchet/dags`
    """

    supports_versioning = True

    def __init__(self, *, releases: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.releases = releases
        self._release = self.version

    @cached_property
    def store(self) -> ObjectStore:
        """The store that contains the releases."""
        return open_store(self.releases)

    def initialize(self) -> None:
        """Fetch the pinned or else the current release. Raises NoRelease, CorruptRelease and ShadowedPackage."""
        self._use(self.version or current_release(self.store))
        super().initialize()

    def refresh(self) -> None:
        """Fetch the release that is current now. If that fails, the bundle keeps the release it has.

        Raises NoRelease for a pinned bundle, else the same errors as `initialize`.
        """
        if self.version:
            raise NoRelease(
                f"This bundle is pinned to release {self.version:.12}, so it cannot be refreshed. Make one without a "
                "version to follow the current release."
            )
        self._use(current_release(self.store))

    def get_current_version(self) -> BundleVersion:
        """The release that the bundle uses or, before `initialize`, the store's current one."""
        return BundleVersion(self._release or current_release(self.store))

    @property
    def path(self) -> Path:
        """The release's folder. Airflow also reads this before a fetch: it is then the folder that contains them."""
        return self.versions_dir / (self._release or "")

    def _use(self, sha: str) -> None:
        check_not_shadowed(fetch(self.store, self.versions_dir, sha))
        self._release = sha


def check_not_shadowed(release: Path) -> None:
    """Raise ShadowedPackage if this process would import a package of the release from another folder."""
    for entry in release.iterdir():
        if entry.name in {DAGS, PLUGINS} or not (entry / "__init__.py").is_file():
            continue
        found = importlib.util.find_spec(entry.name)
        if found and found.origin and not Path(found.origin).resolve().is_relative_to(release.resolve()):
            raise ShadowedPackage(
                f"{entry.name} would be imported from {found.origin}, not from release {release.name:.12}. "
                "Take it off PYTHONPATH and out of the image: only `dag_bundle` is installed there."
            )
