"""The pages that operators look at: what serves and why, how it does, whether its rows are still those of the training.

In the flow: admin port → **console** → HTML. Pages are made on the server, of values that other rooms give; parts of
them are fetched again as time goes on. Everything foreign (names, reasons, texts of authors) is escaped by templates.
"""

from model_manager.console.asking import body_of, fields_of
from model_manager.console.assets import ASSETS, asset
from model_manager.console.figures import figures_of
from model_manager.console.pages import Page, Pages

__all__ = ["ASSETS", "Page", "Pages", "asset", "body_of", "fields_of", "figures_of"]
