"""What the link between two sites runs over, and which broken links run over the same.

It changes what is said of a link alone: no verdict, and nothing that is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from controller.core.site_model import LinkHealth, LinkSpec, LinkState, SiteSpec
from controller.core.sites.look import named

BROKEN = (LinkHealth.CUT, LinkHealth.ONE_WAY)


def is_broken(link: LinkState) -> bool:
    """Whether a person should see to it."""
    return link.health in BROKEN


def declared_between(specs: Iterable[LinkSpec], one: str, other: str) -> tuple[LinkSpec, ...]:
    """The declared links of two sites, in the order of the configuration."""
    return tuple(spec for spec in specs if set(spec.sites) == {one, other})


def shared_risk(one: SiteSpec, other: SiteSpec, declared: Sequence[LinkSpec]) -> tuple[str, ...]:
    """The groups that take the whole way with them when they fail: those that every declared link
    runs over; where none is declared, those that both sites name."""
    if not declared:
        return _common(one.shared_risk_links, (other.shared_risk_links,))
    first, *others = (link.shared_risk for link in declared)
    return _common(first, others)


def risk_told(declared: Sequence[tuple[str, Sequence[str]]], shared: Sequence[str]) -> str:
    """`shared risk: java-bangka-batam`, and of which links, where they have names.

    `declared` is the name of each declared link and what it runs over.
    """
    if not declared:
        return f"shared risk: {named(shared) or 'none declared for both'}"
    if len(declared) == 1:
        name = declared[0][0]
        return f"shared risk{name and f' of its link {name}'}: {named(shared)}"
    links = " and ".join(f"{name or 'the unnamed one'} ({named(over)})" for name, over in declared)
    return f"shared risk of its links {links}: {named(shared) or 'none in common'}"


def with_common_causes(links: Sequence[LinkState]) -> tuple[LinkState, ...]:
    """The links, and of each that is broken the groups that explain the most other broken ones."""
    return tuple(replace(link, common_cause=_common_cause(link, links)) for link in links)


def cause_told(link: LinkState, links: Sequence[LinkState]) -> str:
    """That it and others are broken by one cause, probably; empty where nothing says so."""
    by_links: dict[tuple[str, ...], list[str]] = {}
    for group in link.common_cause:
        by_links.setdefault(_names(_others(link, links, group)), []).append(group)
    return "".join(
        f"; {named(names)} {'is' if len(names) == 1 else 'are'} broken as well and "
        f"{'runs' if len(names) == 1 else 'run'} over {named(groups)}, too: probably one cause"
        f"{_doubt(links, groups)}"
        for names, groups in by_links.items()
    )


def _common(first: Sequence[str], others: Iterable[Sequence[str]]) -> tuple[str, ...]:
    rest = list(others)
    common = (group for group in first if all(group in groups for groups in rest))
    return tuple(dict.fromkeys(common))


def _common_cause(link: LinkState, links: Sequence[LinkState]) -> tuple[str, ...]:
    if not is_broken(link):
        return ()
    explained = {group: len(_others(link, links, group)) for group in link.shared_risk}
    most = max(explained.values(), default=0)
    return tuple(group for group, count in explained.items() if count == most and most > 0)


def _others(link: LinkState, links: Iterable[LinkState], group: str) -> list[LinkState]:
    """The other broken links that run over a group."""
    alike = (one for one in links if one.sites != link.sites and group in one.shared_risk)
    return [one for one in alike if is_broken(one)]


def _doubt(links: Iterable[LinkState], groups: Iterable[str]) -> str:
    """What speaks against it: a link over the same group that is up."""
    wanted = set(groups)
    well = [one for one in links if one.health is LinkHealth.UP and wanted & set(one.shared_risk)]
    return f", though {named(_names(well))} over it is up" if well else ""


def _names(links: Iterable[LinkState]) -> tuple[str, ...]:
    return tuple(" <-> ".join(link.sites) for link in links)
