"""keepalived_names: the log says what watchers of keepalived's log look for."""
import re

from tandemlab.host import wait_for

WORDS = re.compile(r"\(([\w-]+)\) Entering (\w+) STATE")


def entered(lab, node, interface):
    """The states of one interface, in the order of the log."""
    return [state for name, state in WORDS.findall(lab.routers[node].log_text("tandemd"))
            if name == interface]


def names_on(text):
    return text.replace("  preempt: no", "  preempt: no\n  keepalived_names: yes")


def test_a_node_says_what_its_interfaces_enter(make_lab):
    lab = make_lab(edit=names_on)
    for interface in ("wan0", "lan0"):
        assert entered(lab, "r1", interface) == ["BACKUP", "MASTER"]
        assert entered(lab, "r2", interface) == ["BACKUP"]
    lab.topology.carrier(lab.topology.ports("r2", ["wan", "lan"]), False)
    wait_for("r2 says FAULT", lambda: entered(lab, "r2", "lan0") == ["BACKUP", "FAULT"], 5)
    lab.topology.heal()
    wait_for("r2 is well again",
             lambda: entered(lab, "r2", "wan0") == ["BACKUP", "FAULT", "BACKUP"], 5)
    lab.wait_protected(20)
    lab.routers["r1"].switchover()
    wait_for("the roles are changed",
             lambda: entered(lab, "r1", "wan0")[-1] == "BACKUP" and
             entered(lab, "r2", "wan0")[-1] == "MASTER", 5)


def test_a_router_of_mode_independent_says_it_for_itself(make_lab):
    lab = make_lab(edit=lambda text: names_on(text).replace("mode: node", "mode: independent"))
    assert entered(lab, "r1", "wan0")[-1] == "MASTER"
    for router in ("wan0-v6", "lan0-v6"):
        wait_for(f"{router} of r1 is Active", lambda: entered(lab, "r1", router)[-1] == "MASTER",
                 5)
        assert entered(lab, "r2", router) == ["BACKUP"]
    assert entered(lab, "r2", "lan0") == ["BACKUP"]
    lab.topology.carrier(lab.topology.ports("r1", ["wan"]), False)
    wait_for("wan0 of r1 says FAULT, of r2 MASTER",
             lambda: entered(lab, "r1", "wan0")[-1] == "FAULT" and
             entered(lab, "r2", "wan0")[-1] == "MASTER", 5)
    wait_for("the same for IPv6", lambda: entered(lab, "r1", "wan0-v6")[-1] == "FAULT" and
             entered(lab, "r2", "wan0-v6")[-1] == "MASTER", 5)
    assert entered(lab, "r1", "lan0")[-1] == "MASTER"
    assert entered(lab, "r2", "lan0") == ["BACKUP"]
