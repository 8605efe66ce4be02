"""The settings of orcheo-sql: one typed, frozen tree read from ``ORCHEO_`` variables.

`load_settings` reads them, `Settings.location` says in which database a subsystem lives,
`Settings.explain` says where each value came from.
"""

from orcheo_sql.settings._location import Location, Subsystem
from orcheo_sql.settings._masking import mask_dsn
from orcheo_sql.settings._model import SettingOrigin, Settings, load_settings

__all__ = [
    "Location",
    "SettingOrigin",
    "Settings",
    "Subsystem",
    "load_settings",
    "mask_dsn",
]
