# SPDX-License-Identifier: Apache-2.0
# What zsh completes: completed.zsh FOLDER-OF-_stekctl LINE, one match a line, as a user's shell with
# compinit would offer them.
zmodload zsh/zpty
zpty shell zsh -f -i
{
    zpty -w shell "PROMPT=; stty -echo; fpath=(${(q)1} \$fpath)"
    zpty -w shell 'autoload -Uz compinit && compinit -u -D'
    # Prints what is added, where the shell would list it.
    zpty -w shell 'compadd() {
        [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]] || { builtin compadd "$@"; return }
        local -a hits
        local -A suffix
        builtin compadd -A hits "$@"
        [[ ${#hits} -gt 0 ]] && print -rl -- "" "match:"${^hits}
        builtin compadd "$@"
    }'
    zpty -w shell 'done_with() { print -r -- end-of-matches; exit }; comppostfuncs=(done_with)'
    zpty -w shell "bindkey '^I' list-choices; print ready-\$((1 + 1))"
    zpty -r -m shell line '*ready-2*'
    zpty -w -n shell "$2"$'\t'
    zpty -r -m shell line '*end-of-matches*'
    print -rl -- ${${(M)${(f)line//$'\r'/}:#match:*}#match:}
} always {
    zpty -d shell
}
