"""An exploration: a page with settings, and the pure function from settings to a picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from implicitbias._core.blas_threads import one_blas_thread
from implicitbias._core.errors import InputError
from implicitbias.explorer._picture import Axes, Picture
from implicitbias.explorer._setting import Setting


@dataclass(frozen=True)
class Exploration:
    """A page of the explorer.

    Attributes:
        name: the name of the study that the page belongs to.
        title: the title of the page.
        text: a paragraph that says what is predicted and what is simulated.
        settings: the settings in the order of the page.
        axes: the axes of the panels.
        draw: the function from {name: value} to a picture with one tuple of curves for each panel.
        compiled: the names of the settings whose values choose a program; other settings never compile again.
    """

    name: str
    title: str
    text: str
    settings: tuple[Setting, ...]
    axes: tuple[Axes, ...]
    draw: Callable[..., Picture]
    compiled: tuple[str, ...] = ()

    def defaults(self) -> list[float]:
        """Return the numbers of the sliders at the start."""
        return [setting.default for setting in self.settings]

    def values(self, numbers: Sequence[Any]) -> dict[str, Any]:
        """Return {name: value} for the numbers of the sliders.

        Raises:
            InputError: a number is missing or out of its range.
        """
        if len(numbers) != len(self.settings):
            raise InputError(f"the page sent {len(numbers)} settings, {len(self.settings)} are expected")
        return {
            setting.name: setting.value(number)
            for setting, number in zip(self.settings, numbers, strict=True)
        }

    def picture(self, numbers: Sequence[Any]) -> Picture:
        """Return the picture for the numbers of the sliders.

        Raises:
            InputError: a number is out of its range, or the settings have no picture, for the reason that it says.
        """
        # Matrices are small. More threads would only wait for each other, and other programs slow them down.
        with one_blas_thread(True):
            return self.draw(**self.values(numbers))

    def program(self, numbers: Sequence[Any]) -> tuple[str, ...]:
        """Return the name of the program that draws the picture; a program that was used before is fast."""
        values = self.values(numbers)
        return (self.name, *(str(values[name]) for name in self.compiled))

    def programs(self) -> list[list[float]]:
        """Return numbers of the sliders that need each of the programs once; the first ones are the defaults."""
        numbers = [self.defaults()]
        for place, setting in enumerate(self.settings):
            if setting.name in self.compiled:
                count = round((setting.high - setting.low) / setting.step) + 1
                moved = [setting.low + i * setting.step for i in range(count)]
                numbers += [
                    [*row[:place], number, *row[place + 1 :]]
                    for row in list(numbers)
                    for number in moved
                    if number != row[place]
                ]
        return numbers
