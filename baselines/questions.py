"""Natural Questions' test questions with their answers, from Pyserini's topics, as a plain file.

`python -m baselines.questions nq-test.qa.csv` writes the file that `--collection nq:nq-test.qa.csv` reads
(`simlm.data.questions`). Anserini fetches the topics at their first use.
"""

TOPICS = "dpr-nq-test"
