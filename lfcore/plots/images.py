"""Rows of pictures. Apart from the figures, so that a change of style never loads the data again."""

import matplotlib.pyplot as plt


def examples(images, titles: list[str]):
    """A figure with one row of pictures for each title. images: a list of arrays (n, channels, height, width)."""
    columns = max(map(len, images))
    figure, axes = plt.subplots(
        len(images), columns, figsize=(0.8 * columns, 1.1 * len(images)), squeeze=False, layout="constrained"
    )
    for row, (pictures, title) in enumerate(zip(images, titles, strict=True)):
        for axis in axes[row]:
            axis.axis("off")
        for axis, picture in zip(axes[row], pictures, strict=False):
            axis.imshow(picture.transpose(1, 2, 0), cmap="gray_r")
        axes[row, 0].set_title(title, loc="left", fontsize=8)
    return figure
