"""`pydp hold` as a user runs it."""

import json

from tests.cli.test_export_user import shop

__all__ = ["shop"]


def test_add_list_test_lift(shop):
    added = shop.pydp("hold", "add", "--subject", "customer_id=2", "--matter", "Doe v. Acme", "--key-file", "key")
    assert (added.code, added.out) == (0, "H0001: held from now on\n")
    listed = shop.pydp("hold", "list")
    assert "H0001  Doe v. Acme  people  all" in listed.out
    tested = shop.pydp("hold", "test", "--subject", "email=bo@example.com", "--key-file", "key", "--json")
    assert tested.code == 5
    assert json.loads(tested.out) == {"H0001": {"customers": 1, "items": 1, "messages": 1, "orders": 1}}
    free = shop.pydp("hold", "test", "--subject", "customer_id=3", "--key-file", "key")
    assert (free.code, free.out) == (0, "")
    lifted = shop.pydp("hold", "lift", "H0001", "--because", "settled", "--key-file", "key")
    assert (lifted.code, lifted.err) == (0, "pydp: H0001 is lifted\n")
    assert "nothing is held" in shop.pydp("hold", "list").err
    assert "lifted 20" in shop.pydp("hold", "list", "--lifted").out
    log = shop.read(".pydp/audit/000000.jsonl")
    assert '"hold.added"' in log
    assert '"hold.lifted"' in log
    assert "bo@example" not in log


def test_whole_datasets_need_no_keyring(shop):
    assert shop.pydp("hold", "add", "--dataset", "orders", "--matter", "Tax", "--until", "2999-01-01").code == 0
    assert "everybody  orders" in shop.pydp("hold", "list").out
    tested = shop.pydp("hold", "test", "--subject", "customer_id=1", "--json")
    assert (tested.code, json.loads(tested.out)) == (5, {"H0001": {"orders": 3}})


def test_what_is_wrong_is_said(shop):
    wrong = shop.pydp("hold", "add", "--dataset", "order", "--matter", "Tax")
    assert (wrong.code, wrong.err) == (2, 'pydp: error: --dataset: the policy has no dataset "order"\n')
    nobody = shop.pydp("hold", "add", "--matter", "Tax")
    assert (nobody.code, "about a person or about a dataset" in nobody.err) == (2, True)
    assert shop.pydp("hold", "lift", "H0007", "--because", "x").code == 2
    assert shop.pydp("hold", "test", "--subject", "customer_id=").code == 2
