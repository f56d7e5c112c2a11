"""A pipeline's stages as a graph: which come first, and which are meant by only, from and to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..projects import Manifest, edges, order
from ..service.problems import Invalid, nearest
from .requests import Options


@dataclass(frozen=True)
class Graph:
    """The stages of a manifest.

    `order`: each after those it waits for. `waits`: stage → those whose end it waits for. `maker`: output → stage.
    """

    order: tuple[str, ...]
    waits: dict[str, frozenset[str]]
    maker: dict[str, str]

    @classmethod
    def of(cls, manifest: Manifest) -> Graph:
        """The graph of a manifest without faults."""
        maker = {output: name for name, stage in manifest.stages.items() for output in stage.outputs}
        waits = {name: frozenset(others) for name, others in edges(manifest).items()}
        return cls(tuple(order(manifest)), waits, maker)

    def above(self, names: Iterable[str]) -> set[str]:
        """*names* and all that they wait for."""
        found, waiting = set[str](), list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.waits[name]
        return found

    def below(self, names: Iterable[str]) -> set[str]:
        """*names* and all that wait for them."""
        found = set(names)
        for name in self.order:
            if self.waits[name] & found:
                found.add(name)
        return found

    def selected(self, options: Options) -> list[str]:
        """The stages that *options* mean, in their order.

        Raises:
            Invalid: they name a stage that there is not, or none is left.
        """
        for key, names in (("only", options.only), ("from", options.from_), ("to", options.to)):
            for name in names:
                if name not in self.waits:
                    raise Invalid(
                        f"There is no stage {name!r}.", hint=nearest(name, self.order), field=f"options.{key}"
                    )
        if options.only and (options.from_ or options.to):
            raise Invalid("`only` goes with neither `from` nor `to`.", field="options.only")
        chosen = set(options.only) or set(self.order)
        if options.from_:
            chosen &= self.below(options.from_)
        if options.to:
            chosen &= self.above(options.to)
        if not chosen:
            raise Invalid(
                f"No stage lies between {', '.join(options.from_)} and {', '.join(options.to)}.",
                hint="The graph shows which stage waits for which: himalia pipeline show.",
                field="options.to",
            )
        return [name for name in self.order if name in chosen]
