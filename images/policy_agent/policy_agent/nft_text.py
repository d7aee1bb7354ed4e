"""The table of nftables that does what a node's rules say."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from policy_agent.rules import Network, Ports, Rule, Rules, Ruleset

TABLE = "slipway_policy"
REMEMBERED_SECONDS = 60
"""How long the kernel remembers a rejected connection."""
REMEMBERED = 4096
PORTED = "{ tcp, udp, sctp }"


@dataclass(frozen=True)
class Family:
    """nft's notation for one version of IP."""

    version: int
    match: str
    type: str

    def own(self, addresses: Iterable[str]) -> list[str]:
        return sorted(
            address
            for address in addresses
            if ipaddress.ip_address(address).version == self.version
        )


FAMILIES = (Family(4, "ip", "ipv4_addr"), Family(6, "ip6", "ipv6_addr"))


@dataclass(frozen=True)
class Table:
    """A whole table as one transaction; `mark` names it among its successors."""

    text: str
    mark: str


def table(ruleset: Ruleset, pod_interfaces: str) -> Table:
    """Replaces the table of before as a whole, so that no packet meets half of it.

    `pod_interfaces`: the names of the host's ends of pods' cables, `*` at the end.
    """
    body = _Body()
    body.base_chains(ruleset, pod_interfaces)
    content = "\n".join([*body.sets.values(), *body.chains.values(), *body.base])
    mark = _digest(content)
    head = f"table inet {TABLE}\ndelete table inet {TABLE}\n"
    text = f"{head}table inet {TABLE} {{\n{content}\n}}\n".replace("@MARK", mark)
    return Table(text, mark)


def refused_set(mark: str, version: int) -> str:
    return f"refused{version}_{mark}"


class _Body:
    """Sets and chains by name, each once however many pods share it."""

    def __init__(self) -> None:
        self.sets: dict[str, str] = {}
        self.chains: dict[str, str] = {}
        self.base: list[str] = []
        self._made: dict[tuple[int, str, Rules], str] = {}

    def base_chains(self, ruleset: Ruleset, pod_interfaces: str) -> None:
        self._refuse()
        guard_in: list[str] = []
        guard_out: list[str] = []
        own: list[str] = []
        egress: list[str] = []
        ingress: list[str] = []
        for family in FAMILIES:
            ip, v = family.match, family.version
            known = family.own(ruleset.known)
            self._set(f"known{v}", family.type, known)
            self._set(
                f"own{v}",
                f"{family.type} . {family.type}",
                [f"{address} . {address}" for address in known],
            )
            self._map(f"egress{v}", family, ruleset.egress, "daddr")
            self._map(f"ingress{v}", family, ruleset.ingress, "saddr")
            own.append(f"{ip} saddr . {ip} daddr @own{v} accept")
            guard_in.append(f'iifname "{pod_interfaces}" {ip} saddr != @known{v} drop')
            guard_out.append(f'oifname "{pod_interfaces}" {ip} daddr != @known{v} drop')
            egress.append(f"{ip} saddr vmap @egress{v}")
            ingress.append(f"{ip} daddr vmap @ingress{v}")
        seen = "ct state established,related accept"
        # How a pod finds its gateway by IPv6, which has no ARP.
        neighbours = (
            "icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert }"
            " accept"
        )
        # From pods to their own node: their egress. The node's processes, of which the
        # kubelet probes, reach its pods by the output hook, which has no chain here.
        self._base("input", [seen, neighbours, *guard_in, *egress])
        self._base("forward", [seen, *guard_in, *guard_out, *own, *egress, *ingress])

    def _refuse(self) -> None:
        lines = []
        for family in FAMILIES:
            name = refused_set("@MARK", family.version)
            kind = f"{family.type} . {family.type} . inet_proto . inet_service"
            self.sets[name] = (
                f"  set {name} {{ type {kind}; flags dynamic,timeout; "
                f"timeout {REMEMBERED_SECONDS}s; size {REMEMBERED}; }}"
            )
            ip = family.match
            lines.append(
                f"meta nfproto ipv{family.version} meta l4proto {PORTED} add @{name} "
                f"{{ {ip} saddr . {ip} daddr . meta l4proto . th dport }}"
            )
        # Not a reset, which would look as if nothing listened there.
        self._chain("refuse", [*lines, "reject with icmpx type admin-prohibited"])

    def _map(
        self, name: str, family: Family, table: Mapping[str, Rules], peer: str
    ) -> None:
        verdicts = [
            f"{address} : jump {self._pod_chain(family, table[address], peer)}"
            for address in family.own(table)
        ]
        self._collection("map", name, f"{family.type} : verdict", verdicts)

    def _pod_chain(self, family: Family, rules: Rules, peer: str) -> str:
        """The chain of pods with the same rules: back to the base, or refused."""
        key = (family.version, peer, rules)
        if key in self._made:
            return self._made[key]
        lines = sorted(
            line for rule in rules for line in self._lines(family, rule, peer)
        )
        direction = "out" if peer == "daddr" else "in"
        name = f"{direction}{family.version}_{_digest(repr(lines))}"
        self._chain(name, [*lines, "goto refuse"])
        self._made[key] = name
        return name

    def _lines(self, family: Family, rule: Rule, peer: str) -> list[str]:
        match = ""
        if rule.peers is not None:
            networks = [n for n in rule.peers if n.version == family.version]
            if not networks:
                return []
            match = f"{family.match} {peer} @{self._peers(family, networks)} "
        if rule.ports is None:
            return [f"{match}return"]
        return [f"{match}{ports} return" for ports in _port_matches(rule.ports)]

    def _peers(self, family: Family, networks: list[Network]) -> str:
        merged = ipaddress.collapse_addresses(networks)  # type: ignore[type-var]
        elements = [str(network) for network in merged]
        name = f"peers{family.version}_{_digest(repr(elements))}"
        self._set(name, family.type, elements, "flags interval; ")
        return name

    def _set(self, name: str, kind: str, elements: list[str], flags: str = "") -> None:
        self._collection("set", name, kind, elements, flags)

    def _collection(
        self, what: str, name: str, kind: str, elements: list[str], flags: str = ""
    ) -> None:
        held = f"elements = {{ {', '.join(elements)} }}; " if elements else ""
        self.sets[name] = f"  {what} {name} {{ type {kind}; {flags}{held}}}"

    def _chain(self, name: str, lines: list[str]) -> None:
        body = "".join(f"    {line}\n" for line in lines)
        self.chains[name] = f"  chain {name} {{\n{body}  }}"

    def _base(self, hook: str, lines: list[str]) -> None:
        kind = f"type filter hook {hook} priority filter; policy accept;"
        body = "".join(f"    {line}\n" for line in lines)
        self.base.append(f"  chain {hook} {{\n    {kind}\n{body}  }}")


def _port_matches(ports: Iterable[Ports]) -> list[str]:
    """One match for each protocol; ranges are merged, as a set takes no overlaps."""
    found = []
    of_protocol: dict[str, list[Ports]] = {}
    for one in sorted(ports):
        of_protocol.setdefault(one.protocol.lower(), []).append(one)
    for protocol, held in of_protocol.items():
        if any(one.is_all for one in held):
            found.append(f"meta l4proto {protocol}")
            continue
        merged: list[tuple[int, int]] = []
        for one in held:
            if merged and one.first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], one.last))
            else:
                merged.append((one.first, one.last))
        texts = [str(a) if a == b else f"{a}-{b}" for a, b in merged]
        found.append(f"{protocol} dport {{ {', '.join(texts)} }}")
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]
