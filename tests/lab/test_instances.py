"""Two pairs on one host: what happens to one is nothing to the other."""
import time

from conftest import PREFIX
from tandemlab import faults
from tandemlab.scenario import Load, failures


def roles(lab):
    return {node: [role for _, role in router.roles()] for node, router in lab.routers.items()}


def test_a_fault_of_one_pair_leaves_the_other_alone(make_lab):
    hurt = make_lab(prefix=PREFIX + "a")
    calm = make_lab(prefix=PREFIX + "b")
    calm_roles = roles(calm)
    loads = []
    try:
        loads = [Load(hurt, sessions=20, bulk=0), Load(calm, sessions=20, bulk=0)]
        for load in loads:
            load.mark()
        faults.get("sigkill-all").inject(hurt, "r1")
        hurt.wait_active("r2", 5)
        time.sleep(2.0)
        for load in loads:
            assert failures({**load.finish(), "blackouts": {}}) == []
    finally:
        for load in loads:
            load.stop()
    assert calm.active() == "r1"
    assert roles(calm) == calm_roles
