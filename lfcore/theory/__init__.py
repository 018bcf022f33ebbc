"""Linear and logistic regression, where the paper's claims are identities that can be run (2605.31317, sec. 3, app. A).

One model x -> <theta, x> without intercept; "full" saw every row, "retrained" all but the deleted ones, and a query
x_q is any vector. Rows of `retain` (r, d) stay, rows of `forget` (f, d) or the one `point` (d,) are deleted. Each file
says what is the paper's text, what is its released code and what is ours.

Everything is float64, and every draw has its own generator by seed, run and purpose.
"""
