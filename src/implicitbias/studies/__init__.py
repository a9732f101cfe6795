"""Studies: results of papers, reproduced as settings, computed datasets and claims about them.

To add a study, write `name_of_study.py` with a subclass of `Study` and `STUDY = ThatClass()`, and add a card to
`_registry.py`.

Examples:
    >>> import implicitbias as ib
    >>> [card.name for card in ib.studies.list()][:3]
    ['saddle-to-saddle', 'deep-diagonal', 'separable']
"""

from implicitbias._core.claim import Assumption as Assumption
from implicitbias._core.claim import Claim as Claim
from implicitbias._core.claim import at_least as at_least
from implicitbias._core.claim import at_most as at_most
from implicitbias._core.claim import close as close
from implicitbias._core.progress import tell_progress as tell_progress
from implicitbias.studies._joint_report import check_report as check_report
from implicitbias.studies._joint_report import document as document
from implicitbias.studies._joint_report import report as report
from implicitbias.studies._judge import find_results as find_results
from implicitbias.studies._judge import judge as judge
from implicitbias.studies._registry import Card as Card
from implicitbias.studies._registry import find as find
from implicitbias.studies._registry import list_cards as list
from implicitbias.studies._registry import load as load
from implicitbias.studies._result import StudyResult as StudyResult
from implicitbias.studies._run import run as run
from implicitbias.studies._run_grid import run_grid as run_grid
from implicitbias.studies._study import Study as Study
from implicitbias.studies.sweeps import STORE_FILES as STORE_FILES
from implicitbias.studies.sweeps import Failure as Failure
from implicitbias.studies.sweeps import Limits as Limits
from implicitbias.studies.sweeps import Place as Place
from implicitbias.studies.sweeps import SweepResult as SweepResult
from implicitbias.studies.sweeps import UnderWay as UnderWay
from implicitbias.studies.sweeps import Watch as Watch
from implicitbias.studies.sweeps import is_store as is_store
from implicitbias.studies.sweeps import keep_run as keep_run
from implicitbias.studies.sweeps import open_store as open
from implicitbias.studies.sweeps import parsed_axes as parsed_axes
from implicitbias.studies.sweeps import stored_run as stored_run
from implicitbias.studies.sweeps import sweep as sweep
from implicitbias.studies.sweeps import to_parquet as to_parquet

__all__ = [
    "STORE_FILES",
    "Assumption",
    "Card",
    "Claim",
    "Failure",
    "Limits",
    "Place",
    "Study",
    "StudyResult",
    "SweepResult",
    "UnderWay",
    "Watch",
    "at_least",
    "at_most",
    "check_report",
    "close",
    "document",
    "find",
    "find_results",
    "is_store",
    "judge",
    "keep_run",
    "list",
    "load",
    "open",
    "parsed_axes",
    "report",
    "run",
    "run_grid",
    "stored_run",
    "sweep",
    "tell_progress",
    "to_parquet",
]
