use super::refusal;
use crate::checkpoint::error::CheckpointError as E;
use crate::checkpoint::vocabulary::Vocabulary;

fn read(name: &str, text: &str) -> Vocabulary {
    Vocabulary::read(name, text.as_bytes()).unwrap()
}

fn tokens(vocabulary: &Vocabulary) -> Vec<&str> {
    vocabulary.tokens.iter().map(|token| token.as_deref().unwrap_or("-")).collect()
}

#[test]
fn lines_are_tokens_and_only_their_ends_are_stripped() {
    assert_eq!(tokens(&read("vocab.txt", "[PAD]\na \n\n ##b")), ["[PAD]", "a ", "", " ##b"]);
    assert_eq!(tokens(&read("vocab.txt", "a\r\nb\r\n")), ["a", "b"]);
    assert_eq!(tokens(&read("vocab.txt", "a\rb\n")), ["a", "b"], "as Python's universal newlines");
    assert_eq!(tokens(&read("vocab.txt", "a\u{2028}b\u{85}\n")), ["a\u{2028}b\u{85}"]);
    assert_eq!(tokens(&read("vocab.txt", "")), Vec::<&str>::new());
    assert_eq!(tokens(&read("vocab.txt", "\n")), [""]);
}

#[test]
fn of_equal_lines_the_last_has_the_token_and_the_others_keep_their_number() {
    let vocabulary = read("vocab.txt", "a\nb\na\nc\n");
    assert_eq!(tokens(&vocabulary), ["-", "b", "a", "c"]);
}

#[test]
fn the_tokens_of_every_kind_of_model_are_read_by_id() {
    for kind in ["WordPiece", "BPE", "WordLevel"] {
        let text =
            format!(r#"{{"version":"1.0","model":{{"type":"{kind}","vocab":{{"b":1,"a":0,"d":3}},"merges":[]}}}}"#);
        assert_eq!(tokens(&read("tokenizer.json", &text)), ["a", "b", "-", "d"], "{kind}");
    }
    let unigram =
        r#"{"added_tokens":null,"model":{"type":"Unigram","unk_id":1,"vocab":[["a",-1.5],["<unk>",0],["c",-3]]}}"#;
    let vocabulary = read("tokenizer.json", unigram);
    assert_eq!(tokens(&vocabulary), ["a", "<unk>", "c"]);
}

#[test]
fn added_tokens_stand_over_the_model_and_behind_it() {
    let text = r#"{"added_tokens":[{"id":0,"content":"<s>","special":true},{"id":3,"content":"<new>"}],
                   "model":{"vocab":{"old":0,"b":1}}}"#;
    assert_eq!(tokens(&read("tokenizer.json", text)), ["<s>", "b", "-", "<new>"]);
}

#[test]
fn an_id_that_would_only_take_memory_is_refused() {
    for id in ["16777216", "1099511627776", "18446744073709551615"] {
        let text = format!(r#"{{"model":{{"vocab":{{"a":{id}}}}}}}"#);
        assert!(
            matches!(refusal(Vocabulary::read("tokenizer.json", text.as_bytes())), E::TokenId { token, .. } if token == "a")
        );
        let text = format!(r#"{{"added_tokens":[{{"id":{id},"content":"x"}}],"model":{{"vocab":{{}}}}}}"#);
        assert!(matches!(refusal(Vocabulary::read("tokenizer.json", text.as_bytes())), E::TokenId { .. }));
    }
    assert_eq!(read("tokenizer.json", r#"{"model":{"vocab":{"a":16777215}}}"#).tokens.len(), 1 << 24);
}

#[test]
fn a_tokenizer_that_is_none_is_refused_with_the_place() {
    for text in ["", "{}", "[]", r#"{"model":{}}"#, r#"{"model":{"vocab":{"a":-1}}}"#, r#"{"model":{"vocab":"a"}}"#] {
        assert!(matches!(refusal(Vocabulary::read("tokenizer.json", text.as_bytes())), E::Json { .. }), "{text}");
    }
    assert!(matches!(refusal(Vocabulary::read("vocab.txt", b"a\n\xff\n")), E::NotUtf8 { offset: 2, .. }));
}

#[test]
fn roles_come_from_the_tokenizer_and_its_config_in_both_spellings_and_the_config_decides() {
    let text = r#"{"model":{"type":"WordPiece","unk_token":"[UNK]","vocab":{"[UNK]":0}},
                   "post_processor":{"type":"BertProcessing","sep":["[SEP]",2],"cls":["[CLS]",1]}}"#;
    let mut vocabulary = read("tokenizer.json", text);
    let roles = |vocabulary: &Vocabulary| {
        let pairs: Vec<_> = vocabulary.special.iter().map(|(role, token)| format!("{role}={token}")).collect();
        pairs.join(" ")
    };
    assert_eq!(roles(&vocabulary), "cls_token=[CLS] sep_token=[SEP] unk_token=[UNK]");
    let config =
        br#"{"unk_token":{"content":"<unk>","lstrip":false},"pad_token":"[PAD]","mask_token":null,"add_bos_token":true,
                      "bos_token":false,"additional_special_tokens":["x"],"tokenizer_class":"BertTokenizer"}"#;
    vocabulary.add_special_roles(config).unwrap();
    assert_eq!(roles(&vocabulary), "cls_token=[CLS] pad_token=[PAD] sep_token=[SEP] unk_token=<unk>");
    assert!(matches!(refusal(vocabulary.add_special_roles(b"[1]")), E::Json { .. }));
}
