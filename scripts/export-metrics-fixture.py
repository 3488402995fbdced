#!/usr/bin/env python3
"""Writes test/fixtures/metrics.json: figures of random data by scikit-learn, statsmodels and scipy.

    pip install numpy scipy scikit-learn statsmodels
    python scripts/export-metrics-fixture.py test/fixtures/metrics.json

`predicted` -1 is an answer that could not be read; scikit-learn sees it as one more label, left out of the mean
of F1. Scores and confidences are rounded so that some tie.
"""

import json
import sys
import warnings

import numpy as np
import scipy
import sklearn
import statsmodels
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn import metrics
from sklearn.calibration import calibration_curve
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

SEED = 20260101


def wilson_cases(random):
    cases = [(0, 1, 0.95), (1, 1, 0.95), (0, 30, 0.99), (30, 30, 0.9), (500, 1000, 0.95), (10953, 10954, 0.95)]
    for _ in range(40):
        total = int(random.integers(1, 5000))
        cases.append((int(random.integers(0, total + 1)), total, float(random.choice([0.8, 0.9, 0.95, 0.99]))))
    result = []
    for successes, total, confidence in cases:
        low, high = proportion_confint(successes, total, alpha=1 - confidence, method="wilson")
        result.append(
            {"successes": successes, "total": total, "confidence": confidence, "low": float(low), "high": float(high)}
        )
    return result


def mcnemar_cases(random):
    pairs = [(0, 0), (0, 1), (1, 0), (3, 3), (0, 24), (12, 12), (24, 0), (0, 25), (12, 13), (25, 0), (300, 200)]
    pairs += [tuple(int(x) for x in random.integers(0, 15, 2)) for _ in range(20)]
    pairs += [tuple(int(x) for x in random.integers(10, 400, 2)) for _ in range(30)]
    result = []
    for first, second in pairs:
        exact = first + second < 25
        # With equal counts statsmodels' correction overshoots to 1/n; ours stops at 0 (a test of its own).
        if not exact and first == second:
            continue
        test = mcnemar([[7, first], [second, 9]], exact=exact, correction=True)
        result.append(
            {
                "onlyFirst": first,
                "onlySecond": second,
                "isExact": exact,
                "statistic": float(test.statistic),
                "pValue": float(test.pvalue),
            }
        )
    return result


def classification_cases(random):
    result = []
    for classes, count, unread in [(2, 80, 0), (2, 50, 0.2), (3, 60, 0.1), (5, 12, 0), (7, 120, 0.05), (9, 150, 0), (3, 1, 0)]:
        # Unequal class sizes; truth and prediction agree about half the time.
        weights = random.dirichlet(np.ones(classes))
        truth = random.choice(classes, count, p=weights)
        predicted = np.where(random.random(count) < 0.5, truth, random.integers(0, classes, count))
        predicted = np.where(random.random(count) < unread, -1, predicted)
        present = sorted((set(truth) | set(predicted)) - {-1})
        matrix = metrics.confusion_matrix(truth, predicted, labels=[*range(classes), -1])
        result.append(
            {
                "classes": classes,
                "truth": truth.tolist(),
                "predicted": predicted.tolist(),
                "counts": matrix[:classes, :classes].tolist(),
                "unread": matrix[:classes, classes].tolist(),
                "accuracy": float(metrics.accuracy_score(truth, predicted)),
                "balancedAccuracy": float(metrics.balanced_accuracy_score(truth, predicted)),
                "macroF1": float(metrics.f1_score(truth, predicted, labels=present, average="macro", zero_division=0)),
                "withinOneBin": float(np.mean((np.abs(truth - predicted) <= 1) & (predicted >= 0))),
            }
        )
    return result


def calibration_cases(random):
    result = []
    for count, bins in [(200, 10), (60, 15), (7, 10), (100, 5)]:
        confidence = np.round(random.beta(4, 2, count), 3)
        correct = random.random(count) < confidence**2
        accuracy, mean_confidence = calibration_curve(correct, confidence, n_bins=bins, strategy="uniform")
        edges = np.linspace(0, 1, bins + 1)
        counts = np.bincount(np.searchsorted(edges[1:-1], confidence), minlength=bins)
        filled = counts[counts > 0]
        result.append(
            {
                "bins": bins,
                "confidence": confidence.tolist(),
                "isCorrect": correct.tolist(),
                "counts": counts.tolist(),
                "accuracy": accuracy.tolist(),
                "meanConfidence": mean_confidence.tolist(),
                "ece": float(np.sum(filled * np.abs(accuracy - mean_confidence)) / count),
            }
        )
    return result


def roc_cases(random):
    result = []
    for genuine, impostor, digits, shift in [(60, 140, 3, 1.5), (30, 30, 1, 0.8), (20, 200, 2, 4.0), (50, 50, 2, 0.0), (1, 1, 2, 1.0)]:
        labels = np.concatenate([np.ones(genuine, bool), np.zeros(impostor, bool)])
        scores = np.round(random.normal(size=genuine + impostor) + shift * labels, digits)
        order = random.permutation(len(labels))
        labels, scores = labels[order], scores[order]
        fmr, tmr, thresholds = metrics.roc_curve(labels, scores, drop_intermediate=False)
        curve = interp1d(fmr, tmr)
        result.append(
            {
                "scores": scores.tolist(),
                "isGenuine": labels.tolist(),
                "fmr": fmr.tolist(),
                "tmr": tmr.tolist(),
                "thresholds": thresholds[1:].tolist(),
                "area": float(metrics.roc_auc_score(labels, scores)),
                "equalErrorRate": float(brentq(lambda x: 1 - x - curve(x), 0, 1, xtol=1e-14)),
                "tmrAtFmr": [
                    {"maxFmr": limit, "tmr": float(tmr[fmr <= limit].max())} for limit in (0.1, 0.01, 0.001)
                ],
            }
        )
    return result


def main():
    warnings.filterwarnings("ignore", category=UserWarning)
    random = np.random.default_rng(SEED)
    fixture = {
        "madeBy": {
            "script": "scripts/export-metrics-fixture.py",
            "seed": SEED,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "scikit-learn": sklearn.__version__,
            "statsmodels": statsmodels.__version__,
        },
        "wilson": wilson_cases(random),
        "mcnemar": mcnemar_cases(random),
        "classification": classification_cases(random),
        "calibration": calibration_cases(random),
        "roc": roc_cases(random),
    }
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(fixture, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
