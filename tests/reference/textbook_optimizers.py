"""The update rules of the papers, over plain lists of floats, one line of a formula a line."""

import math


def sgd(data, gradients, rate, momentum=0.0, weight_decay=0.0):
    """Follow a list of gradients a step; yield the parameters after each step."""
    velocity = [0.0] * len(data)
    for step, gradient in enumerate(gradients):
        for i, g in enumerate(gradient):
            g = g + weight_decay * data[i]
            velocity[i] = momentum * velocity[i] + g
            data[i] = data[i] - rate(step) * velocity[i]
        yield list(data)


def adam(data, gradients, rate, betas, eps, weight_decay=0.0, decoupled=False):
    beta1, beta2 = betas
    first = [0.0] * len(data)
    second = [0.0] * len(data)
    for step, gradient in enumerate(gradients):
        for i, g in enumerate(gradient):
            if decoupled:
                data[i] = data[i] - rate(step) * weight_decay * data[i]
            else:
                g = g + weight_decay * data[i]
            first[i] = beta1 * first[i] + (1 - beta1) * g
            second[i] = beta2 * second[i] + (1 - beta2) * g**2
            first_unbiased = first[i] / (1 - beta1 ** (step + 1))
            second_unbiased = second[i] / (1 - beta2 ** (step + 1))
            data[i] = data[i] - rate(step) * first_unbiased / (math.sqrt(second_unbiased) + eps)
        yield list(data)
