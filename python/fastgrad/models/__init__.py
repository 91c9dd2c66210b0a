"""Language models, all behind one protocol, `fastgrad.models.base.LanguageModel`."""
