from storage import database as db
from storage import workers


def test_a_worker_is_alive_from_its_registration_until_it_leaves(database: db.Database) -> None:
    ada = workers.register(database, "host", 7, "cuda:0")
    bob = workers.register(database, "host", 7)
    assert ada != bob
    assert [(worker.id, worker.device) for worker in workers.alive(database, 60)] == [(ada, "cuda:0"), (bob, "cpu")]
    workers.leave(database, ada)
    assert [worker.id for worker in workers.alive(database, 60)] == [bob]


def test_a_worker_that_is_silent_for_too_long_is_not_alive_until_its_next_heartbeat(database: db.Database) -> None:
    ada = workers.register(database, "host", 7)
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE tuneguard_data.workers SET heartbeat_at = now() - interval '2 minutes'")
    assert workers.alive(database, 60) == []
    assert [worker.id for worker in workers.alive(database, 180)] == [ada]
    workers.heartbeat(database, ada)
    assert [worker.id for worker in workers.alive(database, 60)] == [ada]
