"""Published figures of the census data's own predictions.

By scikit-learn 1.9 and fairlearn 0.15 on the same rows, 2026-11-20, to four decimals.
"""

from __future__ import annotations

METRICS = ("accuracy", "precision", "recall", "f1", "auc")
QUALITY: dict[int, tuple[float, ...]] = {
    2015: (0.8272, 0.8000, 0.8685, 0.8329, 0.9034),
    2016: (0.8253, 0.8042, 0.8610, 0.8316, 0.9020),
    2017: (0.8292, 0.8115, 0.8602, 0.8352, 0.9051),
    2018: (0.8282, 0.8108, 0.8608, 0.8350, 0.9057),
}
"""By year, in the order of METRICS. Accuracy, precision, recall and F1 of 2016 to 2018
are the twelve golden quality numbers."""
ROWS = {2015: 68_785, 2016: 69_126, 2017: 69_635, 2018: 70_131}
FAIRNESS: dict[tuple[int, str, str], float] = {
    (2015, "SEX", "demographic_parity_difference"): 0.0017,
    (2015, "SEX", "equalized_odds_difference"): 0.0561,
    (2018, "SEX", "demographic_parity_difference"): 0.0046,
    (2018, "SEX", "equalized_odds_difference"): 0.0497,
    (2015, "RAC1P", "demographic_parity_ratio"): 0.7257,
    (2018, "RAC1P", "demographic_parity_ratio"): 0.7840,
}
"""By year, attribute and figure; of groups of at least 500 rows."""
VERDICTS: dict[tuple[int, str, str], str] = {
    (2015, "RAC1P", "demographic_parity_ratio"): "outside limits",
    (2018, "RAC1P", "demographic_parity_ratio"): "within limits",
}
"""Both ratios are below .8. The interval of 2018 is not, and an alert needs that."""
MIN_GROUP_ROWS = 500
SILENT = "AGEP"
"""Its p-value of 2018 is below 1e-7 (Kolmogorov and Smirnov, D = .0166), and the
accuracy is as before: an alert would be a false one."""
ALPHA = 0.01
