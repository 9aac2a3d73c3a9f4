"""Combinations that a blueprint may not have: each rule yields faults from the facts, and all are always asked."""

from __future__ import annotations

from golive.blueprint.backup_rules import BACKUP_RULES
from golive.blueprint.csp_rules import CSP_RULES
from golive.blueprint.data_rules import DATA_RULES
from golive.blueprint.destination_rules import DESTINATION_RULES
from golive.blueprint.facts import Facts
from golive.blueprint.faults import Fault
from golive.blueprint.hook_rules import HOOK_RULES
from golive.blueprint.image_rules import IMAGE_RULES
from golive.blueprint.jwt_rules import JWT_RULES
from golive.blueprint.move_rules import MOVE_RULES
from golive.blueprint.protect_rules import PROTECT_RULES
from golive.blueprint.quota_rules import QUOTA_RULES
from golive.blueprint.release_rules import RELEASE_RULES
from golive.blueprint.routing_rules import ROUTING_RULES
from golive.blueprint.service_rules import SERVICE_RULES
from golive.blueprint.shard_rules import SHARD_RULES
from golive.blueprint.static_prefix import STATIC_PREFIX_RULES
from golive.blueprint.traffic_rules import TRAFFIC_RULES


def check(facts: Facts) -> list[Fault]:
    """Every fault of every rule."""
    routing = (*ROUTING_RULES, *DESTINATION_RULES, *STATIC_PREFIX_RULES, *TRAFFIC_RULES)
    edge = (*routing, *PROTECT_RULES, *QUOTA_RULES, *JWT_RULES, *CSP_RULES)
    rules = (
        *SERVICE_RULES,
        *RELEASE_RULES,
        *edge,
        *DATA_RULES,
        *HOOK_RULES,
        *IMAGE_RULES,
        *MOVE_RULES,
        *SHARD_RULES,
        *BACKUP_RULES,
    )
    return [fault for rule in rules for fault in rule(facts)]
