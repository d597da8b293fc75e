/**
 * What a path of a tunnel is called (pure). MPT's paths have numbers only, so the link is its name where no other path
 * of the connection uses the same link, and `LINK#NUMBER` where one does.
 */
interface NamedPath {
  readonly interfaceName: string;
}

/** By the paths' indexes: `eth0`, or `eth0#0` and `eth0#2`. */
export function tunnelPathNames(paths: readonly NamedPath[]): string[] {
  return paths.map(({ interfaceName }, index) => {
    const isAlone = paths.every((other, at) => at === index || other.interfaceName !== interfaceName);
    return isAlone ? interfaceName : `${interfaceName}#${index}`;
  });
}

/** The index of the path that a name means; a bare number means the index, as in `[path_0]`. */
export function findTunnelPath(paths: readonly NamedPath[], name: string): number | undefined {
  const index = tunnelPathNames(paths).indexOf(name);
  if (index >= 0) return index;
  const number = /^(?:path_|path )?(\d{1,2})$/.exec(name)?.[1];
  return number !== undefined && Number(number) < paths.length ? Number(number) : undefined;
}
