"""Quality tables of methods and of variants of the recipe."""
