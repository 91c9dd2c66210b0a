"""The figures that a module of pictures makes, to look into after they were saved."""


def remember(monkeypatch, module):
    """Give a list that every figure is put into that the module makes from now on."""
    figures = []
    make = module.new_figure

    def keep(*arguments, **options):
        figures.append(make(*arguments, **options))
        return figures[-1]

    monkeypatch.setattr(module, "new_figure", keep)
    return figures
