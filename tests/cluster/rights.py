"""Who may do what in a namespace, by the Roles and RoleBindings that the chart comes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class Right:
    """What one service account may do; ``name`` is empty where it may do it to all things of a kind."""

    account: str
    verb: str
    group: str
    resource: str
    name: str = ""

    def covers(self, asked: Right) -> bool:
        """Return whether this right allows what is asked."""
        return self == asked or (
            not self.name and self == Right(asked.account, asked.verb, asked.group, asked.resource)
        )


def granted(documents: Iterable[Document]) -> frozenset[Right]:
    """Return every right that documents give to service accounts."""
    documents = list(documents)
    roles = {document["metadata"]["name"]: document["rules"] for document in documents if document["kind"] == "Role"}
    return frozenset(
        Right(subject["name"], verb, group, resource, name)
        for binding in documents
        if binding["kind"] == "RoleBinding"
        for subject in binding["subjects"]
        for rule in roles[binding["roleRef"]["name"]]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or [""]
    )
