"""What models learn from and are judged by: snapshots, records, scores, judgements."""
