"""Who waits for whom at the hub: a box that costs much, while others come that cost little."""

from sync.hub.shares import ACTIVE_SECONDS, CREDIT_MAX_SECONDS, DEBT_MAX_SECONDS, REFUSED_MAX, SHARE, Shares

HEAVY, LIGHT = b"heavy", b"light"


def after_spending(seconds: float, *, light_came: bool = True) -> Shares:
    shares = Shares()
    shares.come(HEAVY, 0)
    if light_came:
        shares.come(LIGHT, 0)
    shares.charge(HEAVY, seconds, 0)
    return shares


def test_a_box_that_cost_much_waits_while_another_comes_that_cost_little() -> None:
    shares = after_spending(CREDIT_MAX_SECONDS + 1)
    assert shares.wait_seconds(HEAVY, 0) >= 1 / SHARE
    assert shares.wait_seconds(LIGHT, 0) == 0


def test_a_box_that_nobody_else_waits_for_waits_for_nothing() -> None:
    assert after_spending(100, light_came=False).wait_seconds(HEAVY, 0) == 0
    assert after_spending(100).wait_seconds(HEAVY, ACTIVE_SECONDS + 1) == 0


def test_in_the_long_run_a_heavy_box_gets_its_share_and_no_more() -> None:
    shares, now, spent = after_spending(CREDIT_MAX_SECONDS), 0.0, 0.0
    while now < 10_000:
        shares.come(LIGHT, now)
        now += max(shares.wait_seconds(HEAVY, now), 1.0)
        if not shares.wait_seconds(HEAVY, now):
            shares.charge(HEAVY, 0.5, now)
            spent += 0.5
    assert spent <= now * SHARE + 1


def test_two_heavy_boxes_take_turns_instead_of_leaving_the_hub_idle() -> None:
    shares = Shares()
    served = {b"one": 0, b"two": 0}
    for _ in range(100):
        for origin in served:
            shares.come(origin, 0)
            if not shares.wait_seconds(origin, 0):
                shares.charge(origin, 0.05, 0)
                served[origin] += 1
    assert min(served.values()) > 50


def test_what_a_box_owes_ends() -> None:
    shares = after_spending(1_000)
    shares.come(LIGHT, 0)
    assert shares.wait_seconds(HEAVY, 0) <= DEBT_MAX_SECONDS / SHARE


def test_a_box_whose_bundles_are_refused_again_and_again_is_suspect_until_one_is_good() -> None:
    shares = Shares()
    for _ in range(REFUSED_MAX):
        assert not shares.is_suspect(HEAVY)
        shares.note(HEAVY, 0, is_refused=True)
    assert shares.is_suspect(HEAVY)
    assert not shares.is_suspect(LIGHT)
    shares.note(HEAVY, 0, is_refused=False)
    assert not shares.is_suspect(HEAVY)
