"""The figures that a module of pictures makes, to look into after they were saved."""


def remember(monkeypatch, module):
    """Return a list that every figure is put into that the module makes from now on."""
    figures = []
    make = module.axes_for

    def keep(*arguments, **options):
        axes = make(*arguments, **options)
        figures.append(axes.get_figure())
        return axes

    monkeypatch.setattr(module, "axes_for", keep)
    return figures
