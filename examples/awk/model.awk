# What train.awk and test.awk have in common: cars, a polynomial of their speed, and how far off it is.
# Speeds are centred and scaled, so that one learning rate suits all weights.

function power(speed, exponent) { return ((speed - 15) / 10) ^ exponent }

function predict(speed,    k, sum) {
    for (k = 0; k in weight; k++) sum += weight[k] * power(speed, k)
    return sum
}

# The root mean squared error, in feet.
function rmse(part,    i, sum) {
    for (i = 1; i <= count[part]; i++) sum += (predict(speeds[part, i]) - distances[part, i]) ^ 2
    return sqrt(sum / count[part])
}

# Fifty cars that are made up, the same for every seed: a parabola of the speed in miles per hour, and what drivers add.
BEGIN {
    for (car = 0; car < 50; car++) {
        part = car % 5 == 1 ? "validation" : car % 5 == 3 ? "test" : "train"
        speed = 4 + car * 21 / 49
        noise = sin(12.9898 * car) * 43758.5453
        i = ++count[part]
        speeds[part, i] = speed
        distances[part, i] = 2 + 0.9 * speed + 0.07 * speed ^ 2 + 20 * (noise - int(noise))
    }
}
