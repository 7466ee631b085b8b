"""For tests of your own.

dialect_laws   DIALECT_LAWS: what a dialect of yours must keep

Example:

    @pytest.mark.parametrize("law", DIALECT_LAWS)
    def test_my_dialect_keeps_the_law(law):
        law(MyDialect(), events)  # the events of an ended run, from the first to the last
"""

from reactor_web.testing.dialect_laws import LAWS as DIALECT_LAWS

__all__ = ["DIALECT_LAWS"]
