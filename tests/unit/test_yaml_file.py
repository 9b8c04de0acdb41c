"""What is wrong with a file is told by the keys of the place where it stands, whatever the names there are."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from analytics_dagster.alerting.routes import ChannelConfig, Escalation, QuietHours, Routes, RoutingRule
from analytics_dagster.planning.groups import ScheduleGroup, ScheduleGroups
from analytics_dagster.planning.pods import Resources, Toleration
from analytics_dagster.yaml_file import Location, model_at


@pytest.mark.parametrize(
    ("root", "location", "expected"),
    [
        (Routes, ("chanels",), Routes),
        (Routes, ("channels", "data", "slak"), ChannelConfig),
        (Routes, ("channels", "quiet_hours", "slak"), ChannelConfig),
        (Routes, ("channels", "data", "quiet_hours", "form"), QuietHours),
        (Routes, ("rules", 1, "escalate", "afer"), Escalation),
        (Routes, ("rules", 1, "contine"), RoutingRule),
        (ScheduleGroups, ("groups", 0, "resources", "request"), Resources),
        (ScheduleGroups, ("groups", 0, "tolerations", 1, "keys"), Toleration),
        (ScheduleGroups, ("groups", 0, "cronn"), ScheduleGroup),
        (ScheduleGroups, ("grups",), ScheduleGroups),
    ],
)
def test_a_key_is_held_against_those_of_its_own_mapping(
    root: type[BaseModel], location: Location, expected: type[BaseModel]
) -> None:
    assert model_at(root, location) is expected
