"""The part of DerivaML that says what a catalog is and how people see it in Chaise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deriva_ml_core.connection.base import HasSession

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.origin import CatalogProvenance


class PresentingMethods(HasSession):
    """Mixin of DerivaML."""

    @property
    def catalog_provenance(self) -> CatalogProvenance:
        """Where the catalog comes from, as it says now: name, owner, what it was cloned from."""
        from deriva_ml_core.catalog.origin import catalog_provenance

        return catalog_provenance(self.session)

    def apply_catalog_annotations(
        self, navbar_brand_text: str = "ML Data Browser", head_title: str = "Catalog ML"
    ) -> None:
        """
        Give the catalog its name and menus in Chaise: deriva-ml's tables, then the project's by their kind.

        What the catalog had of these before is replaced; the names and pages of tables stay.

        Args:
            navbar_brand_text: the first words of the navigation bar; head_title: of the browser's window.
        """
        from deriva_ml_core.schema.pages import annotate_catalog

        model = self.session.model
        own = {place: table for place, table in sorted(model.tables.items()) if place[0] in model.domain_schemas}
        menus = {
            "Tables": [
                place for place, table in own.items() if not (table.is_asset or table.is_vocabulary or _is_link(table))
            ],
            "Assets": [place for place, table in own.items() if table.is_asset],
            "Vocabularies": [(table.schema, table.name) for table in model.vocabularies()],  # deriva-ml's too
        }
        annotate_catalog(self.session, navbar_brand_text=navbar_brand_text, head_title=head_title, menus=menus)

    def add_page(self, title: str, content: str) -> str:
        """
        Add a page of Markdown to the catalog (a row of www:Page), or replace the one of this title; its RID.

        Raises:
            DerivaMLTableTypeError: the catalog has a table of that name for something else.
        """
        from deriva_ml_core.schema.pages import write_page

        return write_page(self.session, title, content)


def _is_link(table: Table) -> bool:
    """Whether its rows only link others: references that are together a key."""
    references = {name for key in table.foreign_keys for name in key.columns}
    return any(len(key) > 1 and references.issuperset(key) for key in table.keys)
