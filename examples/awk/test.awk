# Scores what train.awk has written, on test:
# awk -f model.awk -f test.awk model.txt

/^weight / { weight[$2] = $3 }

END { print rmse("test") }
