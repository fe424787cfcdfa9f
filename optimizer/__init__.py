"""Everything that decides: the study, its space, proposals under rules, workers, scores, reports, the command line."""
