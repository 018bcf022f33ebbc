"""One file for each experiment: ``experiment(data, *, seeds, device, **options) -> (table, arrays)``.

An experiment is one condition from training to measuring, where the pipeline's own models will not do because the
training set is another. `data` is a `lfcore.data.Data`; the table has the columns `lfcore.residual.COLUMNS`, a row a
number; the arrays are worth keeping for pictures.
"""
