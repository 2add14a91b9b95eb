"""Write transactions that threads share: each has its own outcome, and what is acknowledged is there."""

import threading

import pytest

from deriva_ml_core.local_catalog.database import Pool, connect


@pytest.fixture
def pool(tmp_path):
    made = Pool(tmp_path / "x.db", connect)
    with made.writing() as db:
        db.execute("CREATE TABLE t (number INTEGER PRIMARY KEY) STRICT")
    yield made
    made.close()


def _numbers(pool: Pool) -> list[int]:
    with pool.connection() as db:
        return [row[0] for row in db.execute("SELECT number FROM t ORDER BY number")]


def test_what_fails_is_undone_and_the_others_stay(pool):
    """Of many writers at once, those that raise get their own exception, and leave nothing."""
    outcomes: dict[int, object] = {}

    def write(number: int) -> None:
        def work(db):
            db.execute("INSERT INTO t VALUES (?)", (number,))
            if number % 3 == 0:
                raise ValueError(number)
            return number * 10

        try:
            outcomes[number] = pool.write_together(work)
        except ValueError as err:
            outcomes[number] = err.args

    threads = [threading.Thread(target=write, args=(number,)) for number in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert outcomes == {number: (number,) if number % 3 == 0 else number * 10 for number in range(60)}
    assert _numbers(pool) == [number for number in range(60) if number % 3]


def test_a_commit_that_fails_fails_for_everybody(pool):
    """Nobody is told that it is done when the transaction was lost as a whole."""

    def lose(db):
        db.execute("ROLLBACK")
        raise ValueError("lost")

    with pytest.raises(ValueError, match="lost"):
        pool.write_together(lose)

    assert pool.write_together(lambda db: db.execute("INSERT INTO t VALUES (1)").fetchall()) == []
    assert _numbers(pool) == [1]
