"""A data set of ten images, each labelled differently, for tests that need MNIST's files but not its size."""


def write_few_digits(folder):
    """Makes the folder, and MNIST's four files in it."""
    folder.mkdir()
    for name in ["train", "t10k"]:
        (folder / f"{name}-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 10, 0, 0, 0, 28, 0, 0, 0, 28]) +
                                                           bytes(i * i % 251 for i in range(10 * 784)))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 10]) + bytes(range(10)))
