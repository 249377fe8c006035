# Fits a polynomial to the stopping distances of cars, by stochastic gradient descent:
# awk -v epochs=20 -v lr=0.05 -v degree=1 -v seed=1 -v out=model.txt -f model.awk -f train.awk

BEGIN {
    srand(seed + 1) # some awks draw the same numbers for 0 as for 1
    for (k = 0; k <= degree; k++) weight[k] = rand()
    for (epoch = 1; epoch <= epochs; epoch++) {
        for (step = 1; step <= count["train"]; step++) {
            i = 1 + int(rand() * count["train"])
            error = predict(speeds["train", i]) - distances["train", i]
            for (k = 0; k <= degree; k++) weight[k] -= lr * error * power(speeds["train", i], k)
        }
        printf "epoch %d: train %.6f, validation %.6f\n", epoch, rmse("train"), rmse("validation")
        fflush() # a report is to be seen when it is made, not when the buffer is full
    }
    for (k = 0; k <= degree; k++) print "weight", k, weight[k] > out
}
