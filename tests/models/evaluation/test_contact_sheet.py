"""Contact sheets."""

import numpy as np

from lutfuse.models.evaluation.contact_sheet import contact_sheet


def test_a_sheet_holds_rows_of_any_length_and_shape():
    tall, wide = np.zeros((300, 100, 3), np.uint8), np.full((100, 300, 3), 200, np.uint8)
    sheet = contact_sheet([[("a", wide)], [("b", wide), ("c", wide)], [("d", tall)]], tile=60)
    assert sheet.shape[1] == 2 * 66
    assert sheet.max() >= 200
