import { TranslationBundle } from '@jupyterlab/translation';

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

/** Why a name cannot be an environment variable's; null when it can. The service refuses some more, and says why. */
export function nameFault(name: string, trans: TranslationBundle): string | null {
  if (name === '') {
    return trans.__('Give it a name, for example WEATHER_API_KEY.');
  }
  return NAME.test(name)
    ? null
    : trans.__(
        "'%1' is no name of an environment variable: use letters, digits and _, at most 128, and no digit first.",
        name.slice(0, 80)
      );
}
