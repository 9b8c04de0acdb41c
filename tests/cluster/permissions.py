"""The permissions that the Roles and RoleBindings of the rendered chart grant in a namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class Permission:
    """A permission of a service account; an empty ``name`` means all objects of the resource."""

    account: str
    verb: str
    group: str
    resource: str
    name: str = ""

    def covers(self, asked: Permission) -> bool:
        """Return whether this permission includes another one."""
        return self == asked or (
            not self.name and self == Permission(asked.account, asked.verb, asked.group, asked.resource)
        )


def granted_permissions(documents: Iterable[Document]) -> frozenset[Permission]:
    """Return all permissions that documents grant to service accounts."""
    documents = list(documents)
    roles = {document["metadata"]["name"]: document["rules"] for document in documents if document["kind"] == "Role"}
    return frozenset(
        Permission(subject["name"], verb, group, resource, name)
        for binding in documents
        if binding["kind"] == "RoleBinding"
        for subject in binding["subjects"]
        for rule in roles[binding["roleRef"]["name"]]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or [""]
    )
