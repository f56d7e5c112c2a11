/** *version* with its last number counted up: a proposal, the service says what is free. */
export function nextVersion(version: string): string {
  return version.replace(/(\d+)(\D*)$/, (_, number: string, rest: string) => {
    return `${Number(number) + 1}${rest}`;
  });
}
