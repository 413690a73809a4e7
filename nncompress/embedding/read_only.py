"""Methods that change gensim's KeyedVectors in place, refused here with an alternative."""

from typing import Any, NoReturn

from nncompress.errors import InputError

_MORE_ROWS = "emb.add(words, vectors) returns a table with more rows"
_OTHER_ROWS = "change the original vectors, or emb.to_gensim(), and compress that"
_ATTRIBUTES = (
    "set emb.extras[name] to an array with an entry for each row, which sets an attribute of all "
    "rows and is kept by save"
)


class ReadOnly:
    """Refuses changes in place: each method is one of KeyedVectors and raises ``InputError``."""

    def __setitem__(self, keys: object, weights: object) -> NoReturn:
        """Refuses to replace or add rows."""
        _refuse("emb[key] = vector", f"{_MORE_ROWS}; to replace some, {_OTHER_ROWS}")

    def add_vector(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuses to add a row."""
        _refuse("add_vector", _MORE_ROWS)

    def add_vectors(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuses to add rows."""
        _refuse("add_vectors", f"{_MORE_ROWS}; to replace some, {_OTHER_ROWS}")

    def resize_vectors(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuses to make room for rows."""
        _refuse("resize_vectors", _MORE_ROWS)

    def intersect_word2vec_format(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuses to replace rows with those of a file."""
        _refuse("intersect_word2vec_format", _OTHER_ROWS)

    def unit_normalize_all(self) -> NoReturn:
        """Refuses to divide rows by their lengths."""
        _refuse(
            "unit_normalize_all",
            "get_vector(key, norm=True) and get_normed_vectors() return rows of length 1, and "
            "compressing with objective='cosine' gives a table of such rows",
        )

    def sort_by_descending_frequency(self) -> NoReturn:
        """Refuses to reorder rows."""
        _refuse(
            "sort_by_descending_frequency",
            "emb.vectors_for_all(words) returns a table with its rows in the order of the words",
        )

    def set_vecattr(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuses to set an attribute of a single row."""
        _refuse("set_vecattr", _ATTRIBUTES)

    def allocate_vecattrs(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuses to make room for attributes of rows."""
        _refuse("allocate_vecattrs", _ATTRIBUTES)

    @classmethod
    def load_word2vec_format(cls, fname: object, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuses to load uncompressed vectors."""
        raise InputError(
            f"{fname} holds vectors, not a compressed table; compress them with "
            f"nncompress.compress({fname!r}, 'NAME.nnc'), which reads such files"
        )


def _refuse(what: str, instead: str) -> NoReturn:
    raise InputError(f"{what}: a compressed table cannot be changed in place; {instead}")
