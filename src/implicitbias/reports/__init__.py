"""Reports: one document of sections, rendered to HTML and Markdown by one module each. Bokeh enters here.

The command line renders it on a terminal.

To report on another kind of result, write a function that returns its `Document`.
"""

from implicitbias.reports._bibliography import cited_keys as cited_keys
from implicitbias.reports._bibliography import entries as entries
from implicitbias.reports._document import Badge as Badge
from implicitbias.reports._document import Claims as Claims
from implicitbias.reports._document import Code as Code
from implicitbias.reports._document import Document as Document
from implicitbias.reports._document import Facts as Facts
from implicitbias.reports._document import Notes as Notes
from implicitbias.reports._document import Numbers as Numbers
from implicitbias.reports._document import Part as Part
from implicitbias.reports._document import Picture as Picture
from implicitbias.reports._document import Row as Row
from implicitbias.reports._document import Scrubber as Scrubber
from implicitbias.reports._document import Section as Section
from implicitbias.reports._document import Sweep as Sweep
from implicitbias.reports._document import Table as Table
from implicitbias.reports._document import Text as Text
from implicitbias.reports._forecast import forecast_document as forecast_document
from implicitbias.reports._forecast import forecast_numbers as forecast_numbers
from implicitbias.reports._html import base_style as base_style
from implicitbias.reports._html import html as html
from implicitbias.reports._margin import margin_document as margin_document
from implicitbias.reports._markdown import markdown as markdown
from implicitbias.reports._path import path_document as path_document
from implicitbias.reports._picture import picture_of as picture_of
from implicitbias.reports._sweep import sweep_document as sweep_document
