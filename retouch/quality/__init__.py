"""Quality of answers: metrics, thresholds, policy, drift."""
