"""Making room in a cache."""

import os

from deriva_ml_core.assets.cache import place
from deriva_ml_core.assets.storage import cache_size, clear_cache


def fill(cache):
    (cache / "objects" / "ab").mkdir(parents=True)
    kept = cache / "objects" / "ab" / "abcd"
    kept.write_bytes(b"x" * 1000)
    place(kept, cache / "bags" / "c0ffee" / "Dataset_1" / "data" / "a.png")


def test_what_is_linked_twice_is_counted_once(tmp_path):
    """A bag's files are links to objects: they take their room once."""
    fill(tmp_path)

    assert cache_size(tmp_path).total_bytes == 1000
    assert cache_size(tmp_path).file_count == 2


def test_clearing_frees_it_all(tmp_path):
    """Without an age everything goes."""
    fill(tmp_path)

    assert clear_cache(tmp_path).bytes_freed == 1000
    assert cache_size(tmp_path).file_count == 0


def test_what_was_used_lately_stays(tmp_path):
    """With an age, bags in use and their files stay; old ones go, and the files that only they had go the next time."""
    fill(tmp_path)
    assert clear_cache(tmp_path, older_than_days=1).bytes_freed == 0

    bag = tmp_path / "bags" / "c0ffee" / "Dataset_1"
    os.utime(bag, (0, 0))
    assert clear_cache(tmp_path, older_than_days=1).files_removed == 1
    assert (tmp_path / "objects" / "ab" / "abcd").exists()
