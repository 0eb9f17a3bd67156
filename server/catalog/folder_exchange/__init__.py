"""A tenant's shop and looks as one document, in and out: what `vestige catalog export` and `import` carry."""
