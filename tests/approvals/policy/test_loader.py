from __future__ import annotations

from pathlib import Path

import pytest

from approvals.errors import ConfigurationInvalid
from approvals.model import PersonId
from approvals.policy.issues import Issue, suggestion
from approvals.policy.loader import Configuration, load_configuration, notify_faults
from tests.approvals.policy.example import FILES, PEOPLE, POLICY, SERVICES, write

KNOWN_ACTIONS = "Known here: customer.export, customer.read, test.delete"
DECISIONS = "Write approve, deny or review"
REVIEW_ONLY = "Remove it; only a review carries it"
MOVE = "Move it up, narrow the earlier rule's actions, or remove it"


def _told(directory: Path) -> list[str]:
    with pytest.raises(ConfigurationInvalid) as caught:
        load_configuration(directory)
    return [str(issue) for issue in caught.value.issues]


def _told_of(directory: Path, policy: str) -> list[str]:
    return _told(write(directory, {**FILES, "policy.yaml": policy}))


def _load(directory: Path, policy: str) -> Configuration:
    return load_configuration(write(directory, {**FILES, "policy.yaml": policy}))


def test_a_complete_configuration_loads(tmp_path: Path) -> None:
    configuration = load_configuration(write(tmp_path))
    assert list(configuration.policy.actions) == ["customer.read", "customer.export", "test.delete"]
    assert configuration.people.admins() == {PersonId("anna")}
    assert [service.id for service in configuration.services.all()] == ["crm", "quiet"]
    assert configuration.directory == tmp_path
    assert len(configuration.version) == 12


def test_the_least_that_loads(tmp_path: Path) -> None:
    files = {
        "policy.yaml": "version: 1\nactions: {}\n",
        "people.yaml": "people: []\n",
        "services.yaml": "services: {}\n",
    }
    assert load_configuration(write(tmp_path, files)).policy.defaults.on_no_match == "deny"


def test_all_faults_of_all_files_are_told_at_once_in_order_of_place(tmp_path: Path) -> None:
    files = {
        "policy.yaml": POLICY.replace("threshold: 2", "thresold: 2").replace(
            "[test.*]", "[tset.*]"
        ),
        "people.yaml": PEOPLE.replace("members: [ben]", "members: [benn]"),
        "services.yaml": SERVICES.replace("asserts: [geo.country", "asserts: [geo.contry"),
    }
    assert _told(write(tmp_path, files)) == [
        "people.yaml:20:15: no person is called `benn`. Did you mean `ben`?",
        "policy.yaml:43:7: `thresold` is not a key here. Did you mean `threshold`?",
        f"policy.yaml:53:15: no action fits `tset.*`. {KNOWN_ACTIONS}",
        "services.yaml:13:15: no attribute is called `geo.contry`. Did you mean `geo.country`?",
    ]


def test_a_faulty_rule_hides_no_fault_of_the_rules_after_it(tmp_path: Path) -> None:
    policy = POLICY.replace("decision: review", "decision: reveiw").replace(
        "{decision: deny", "{quick_approve: true, decision: deny"
    )
    assert _told(write(tmp_path, {**FILES, "policy.yaml": policy})) == [
        f"policy.yaml:41:17: `decision` is not one of the known values. {DECISIONS}",
        f"policy.yaml:58:12: `quick_approve` means nothing with `decision: deny`. {REVIEW_ONLY}",
    ]


def test_faulty_defaults_do_not_make_the_reviews_look_groupless(tmp_path: Path) -> None:
    policy = POLICY.replace("groups: [privacy]\n", "groups: privacy\n")
    assert _told(write(tmp_path, {**FILES, "policy.yaml": policy})) == [
        "policy.yaml:12:11: `groups` must be a list. Write it in brackets: [one, two]"
    ]


def test_missing_files_are_faults_with_the_remedy(tmp_path: Path) -> None:
    remedy = "Write it, beginning with a copy of Placet's examples/config, or set "
    remedy += "PLACET_CONFIG_DIR to the directory that holds it"
    assert _told(tmp_path) == [
        f"{file}:1:1: the file is missing. {remedy}"
        for file in ("people.yaml", "policy.yaml", "services.yaml")
    ]


def test_without_people_the_names_of_people_are_not_judged(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "people.yaml").unlink()
    assert [told.split(":")[0] for told in _told(tmp_path)] == ["people.yaml"]


def test_a_review_without_any_group_is_refused(tmp_path: Path) -> None:
    policy = "version: 1\nactions: {a: {title: A}}\nrules:\n- {id: r, then: {decision: review}}\n"
    assert _told(write(tmp_path, {**FILES, "policy.yaml": policy}))[0] == (
        "policy.yaml:4:17: the rule `r` has no groups, so nobody may approve. "
        "Add groups here or to defaults"
    )


def test_a_group_of_persons_who_are_no_approvers_is_nobody(tmp_path: Path) -> None:
    people = PEOPLE.replace("members: [anna, cleo]", "members: [cleo]")
    assert _told(write(tmp_path, {**FILES, "people.yaml": people}))[0] == (
        "policy.yaml:12:11: 1 must approve, but nobody in privacy may. "
        "Lower the threshold, or give more members the role approver"
    )


def test_the_rules_before_may_hide_a_rule_together(tmp_path: Path) -> None:
    both = "`export-needs-two` and `tests-are-free`"
    policy = POLICY + (
        "  - {id: late, actions: [test.delete, customer.export], then: {decision: approve}}\n"
    )
    assert _told(write(tmp_path, {**FILES, "policy.yaml": policy})) == [
        f"policy.yaml:59:10: no request can reach the rule `late`, because of {both} before it. "
        + MOVE
    ]


def test_a_condition_may_give_an_error_for_one_kind_of_request(tmp_path: Path) -> None:
    # It divides by zero where no record is asked for, and for nobody else.
    policy = POLICY.replace('when: "true"', "when: 10 / request.record_count > 2")
    assert _load(tmp_path, policy).policy.rules[0].when == "10 / request.record_count > 2"


def test_a_deny_rule_may_freeze_what_other_rules_are_about(tmp_path: Path) -> None:
    freeze = "rules:\n  - {id: freeze, then: {decision: deny}}\n"
    assert _load(tmp_path, POLICY.replace("rules:\n", freeze)).policy.rules[0].id == "freeze"


def test_a_rule_is_hidden_when_the_catalogue_holds_nothing_else_for_it(tmp_path: Path) -> None:
    policy = """\
version: 1
defaults: {groups: [privacy]}
actions: {a.b: {title: B}, a.c: {title: C}}
rules:
  - {id: z, actions: [a.b, a.c], then: {decision: approve}}
  - {id: r, actions: ["a.*"], then: {decision: review}}
"""
    services = "services: {}\n"
    files = {**FILES, "policy.yaml": policy, "services.yaml": services}
    assert _told(write(tmp_path, files)) == [
        f"policy.yaml:6:10: no request can reach the rule `r`, because of `z` before it. {MOVE}"
    ]
    wider = policy.replace("a.c: {title: C}", "a.c: {title: C}, a.d: {title: D}")
    write(tmp_path, {**files, "policy.yaml": wider})
    assert len(load_configuration(tmp_path).policy.rules) == 2


def test_a_faulty_action_still_counts_when_rules_are_judged(tmp_path: Path) -> None:
    policy = POLICY.replace("title: Delete the records of a test", "titel: x").replace(
        "[test.*]", "[customer.*, test.*]"
    )
    late = '  - {id: late, actions: ["*"], then: {decision: approve}}\n'
    hidden = [told for told in _told_of(tmp_path, policy + late) if "no request" in told]
    assert hidden == [
        "policy.yaml:59:10: no request can reach the rule `late`, because of "
        "`export-needs-two` and `tests-are-free` before it. " + MOVE
    ]
    free = policy.replace("[customer.*, test.*]", "[customer.*]")
    assert not any("no request" in told for told in _told_of(tmp_path, free + late))


def test_with_faulty_people_no_glob_is_said_to_fit_nobody(tmp_path: Path) -> None:
    files = {**FILES, "people.yaml": PEOPLE.replace("name: Ben Example", "nmae: Ben Example")}
    assert {told.split(":")[0] for told in _told(write(tmp_path, files))} == {"people.yaml"}


def test_only_the_demo_takes_a_callback_entry_that_names_no_receiver(tmp_path: Path) -> None:
    start = SERVICES.index("      default:")
    services = SERVICES[:start] + SERVICES[SERVICES.index("      networks:") :]
    write(tmp_path, {**FILES, "services.yaml": services})
    assert len(_told(tmp_path)) == 1
    assert load_configuration(tmp_path, loopback=True).services.all()


def test_the_demos_callback_entry_is_read_by_the_command_line_too(tmp_path: Path) -> None:
    start, end = SERVICES.index("      default:"), SERVICES.index("      secrets:")
    write(tmp_path, {**FILES, "services.yaml": SERVICES[:start] + SERVICES[end:]})
    assert load_configuration(tmp_path).services.all()


def test_a_root_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    told = "people.yaml:1:1: the file must be a mapping. Write keys with values below it"
    assert told in _told(write(tmp_path, {**FILES, "people.yaml": "- anna\n"}))


def test_lists_of_the_wrong_kind_are_refused_without_noise(tmp_path: Path) -> None:
    policy = POLICY[: POLICY.index("rules:")] + "rules: {a: [b]}\nlist: [1]\n"
    assert _told(write(tmp_path, {**FILES, "policy.yaml": policy})) == [
        "policy.yaml:35:8: `rules` must be a list. Write it in brackets: [one, two]",
        "policy.yaml:36:1: `list` is not a key here. Did you mean `lists`?",
    ]


def test_the_version_ignores_comments_layout_and_written_out_defaults(tmp_path: Path) -> None:
    version = _load(tmp_path, POLICY).version
    assert _load(tmp_path, "# a comment\n" + POLICY).version == version
    assert _load(tmp_path, POLICY.replace("    mode: enforce\n", "")).version == version
    assert _load(tmp_path, POLICY.replace("  on_error: deny\n", "")).version == version
    assert _load(tmp_path, POLICY.replace("Ask early", "Ask late")).version != version


def test_a_notify_that_reaches_no_configured_platform_is_a_fault(tmp_path: Path) -> None:
    configuration = load_configuration(write(tmp_path))
    policy, source = configuration.policy, configuration.sources.policy
    assert notify_faults(policy, frozenset({"slack"}), source) == []
    remedy = "Set them, name another channel, or remove the key"
    assert notify_faults(policy, frozenset({"teams"}), source) == [
        Issue(
            "policy.yaml",
            50,
            15,
            "`notify` reaches nobody: no credentials are set for slack",
            remedy,
        )
    ]
    assert [str(fault) for fault in notify_faults(policy, frozenset())] == [
        "policy.yaml:1:1: `notify` reaches nobody: no credentials are set for slack or teams. "
        + remedy,
        "policy.yaml:1:1: `notify` reaches nobody: no credentials are set for slack. " + remedy,
    ]


def test_no_notify_at_all_is_no_fault(tmp_path: Path) -> None:
    policy = POLICY.replace("notify: [privacy-desk]", "notify: []")
    policy = policy.replace("      notify: [duty-desk]\n", "")
    assert notify_faults(_load(tmp_path, policy).policy, frozenset()) == []


def test_a_long_choice_of_names_is_cut() -> None:
    names = [f"name-{letter}" for letter in "abcdefghijklmn"]
    assert suggestion("zzz", names).endswith("name-l and 2 more")


def test_lists_and_classes_have_a_bound(tmp_path: Path) -> None:
    many = ", ".join(f"x{n}" for n in range(1001))
    policy = POLICY.replace("EEA: [DE, FR]", f"EEA: [{many}]").replace(
        "data_classes: [contact]", f"data_classes: [{', '.join(f'c{n}' for n in range(51))}]"
    )
    assert _told_of(tmp_path, policy) == [
        "policy.yaml:2:14: `EEA` holds more than 1000 items. Split it in two lists",
        "policy.yaml:22:19: `data_classes` holds more than 50 classes. Name fewer",
    ]


def test_a_rule_in_shadow_may_err_and_hides_no_other(tmp_path: Path) -> None:
    first = "rules:\n  - {id: s, mode: shadow, when: 1 / 0 == 1, then: {decision: approve}}\n"
    second = "  - {id: t, mode: shadow, then: {decision: approve}}\n"
    policy = _load(tmp_path, POLICY.replace("rules:\n", first + second)).policy
    assert [rule.id for rule in policy.rules[:2]] == ["s", "t"]


def test_a_time_in_seconds_is_told_in_seconds(tmp_path: Path) -> None:
    policy = POLICY.replace("expires_in: 30m", "expires_in: 45s\n      remind: [1m]")
    [told] = _told_of(tmp_path, policy)
    assert told.startswith("policy.yaml:47:16: `remind[0]` comes when the request has expired,")
    assert told.endswith("after 45s. Choose a shorter time, or a longer expiry")


def test_an_actions_own_expiry_counts_where_the_rule_is_about_no_other(tmp_path: Path) -> None:
    policy = POLICY.replace("distinct_groups: false", "remind: [15m]").replace(
        "expires_in: 1h", "expires_in: 10m"
    )
    [told] = _told_of(tmp_path, policy)
    assert told.startswith("policy.yaml:45:16: `remind[0]` comes when the request has expired,")
    both = policy.replace("actions: [customer.export]", "actions: [customer.export, test.delete]")
    loaded = _load(tmp_path, both.replace("[test.*]", "[customer.read]"))
    assert loaded.policy.rules[0].then.remind


def test_a_channel_of_an_escalation_must_be_reachable_too(tmp_path: Path) -> None:
    policy = POLICY.replace(
        "distinct_groups: false", "escalate: [{after: 5m, notify: [duty-desk]}]"
    )
    configuration = _load(tmp_path, policy)
    source = configuration.sources.policy
    faults = notify_faults(configuration.policy, frozenset({"teams"}), source)
    assert [(one.line, one.column) for one in faults] == [(50, 15), (45, 38)]


def test_in_place_of_a_value_that_is_not_there_stands_none(tmp_path: Path) -> None:
    source = load_configuration(write(tmp_path)).sources.policy
    assert source.value(("rules", 0, "id")) == "export-needs-two"
    assert source.value(("rules", 9, "id")) is None
    assert source.value(("version", "id")) is None


def test_a_list_with_a_fault_is_told_as_that_where_rules_use_it(tmp_path: Path) -> None:
    policy = POLICY.replace("[DE, FR]", "[DE, NO]").replace(
        "mode: enforce", "when: geo.country in EEA"
    )
    assert _told_of(tmp_path, policy) == [
        'policy.yaml:2:19: `NO` is read by YAML as false, not as text. Quote it: "NO"'
    ]


def test_an_escalation_to_nobody_is_refused(tmp_path: Path) -> None:
    people = PEOPLE.replace("members: [ben]", "members: [cleo]")
    policy = POLICY.replace("distinct_groups: false", "escalate: [{after: 5m, groups: [duty]}]")
    policy = policy.replace("threshold: 2", "threshold: 1")
    [told] = _told(write(tmp_path, {**FILES, "policy.yaml": policy, "people.yaml": people}))
    assert told.startswith("policy.yaml:45:38: nobody in duty may approve. ")


def test_where_most_of_a_list_never_fits_the_list_is_the_wrong_one(tmp_path: Path) -> None:
    policy = POLICY.replace("[health]", "[health, biometric, trade_union]")
    policy = policy.replace('when: "true"', "when: geo.country in SPECIAL")
    [told] = _told_of(tmp_path, policy)
    assert told.startswith("policy.yaml:39:11: `geo.country` is never what `SPECIAL` holds. ")


def test_all_conditions_about_an_action_have_a_bound_together(tmp_path: Path) -> None:
    many = ", ".join(f"x{n}" for n in range(1000))
    rules = "".join(
        f"  - {{id: r{n}, when: 'requester.roles.exists(r, r in BIG)', then: {{decision: deny}}}}\n"
        for n in range(20)
    )
    policy = POLICY.replace("[DE, FR]", f"[DE, FR], BIG: [{many}]") + rules
    told = _told_of(tmp_path, policy)
    assert len(told) == 3
    assert "the conditions about `customer.export` may take 1,017," in told[0]


def test_a_link_to_nowhere_is_no_missing_fixtures_file(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "fixtures.yaml").symlink_to("nowhere")
    assert [told.split(": ")[0] for told in _told(tmp_path)] == ["fixtures.yaml:1:1"]
